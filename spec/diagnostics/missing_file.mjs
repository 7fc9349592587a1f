// missing_file.lua in JavaScript.
// Line 6, seen by node.
import { readFile } from "node:fs/promises";

async function loadSettings(directory) {
  return await readFile(directory + "/setings.txt", "utf8");
}

console.log(await loadSettings("no such directory"));
