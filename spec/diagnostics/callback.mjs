// callback.lua in JavaScript.
// Line 8, not seen by node.
import { rmSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";

async function printSettings(path) {
  readFile(path, (err, text) => {
    if (err) throw err;
    console.log(String(text));
  });
}

const path = tmpdir() + "/callback-" + process.pid;
await writeFile(path, "color = blue");
await printSettings(path);
process.on("exit", () => { rmSync(path); });
