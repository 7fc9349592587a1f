// listing.lua in JavaScript.
// Line 8, seen by node.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";

async function countFiles(directory) {
  let count = 0;
  for (const entry of readdir(directory, { withFileTypes: true })) {
    if (entry.isFile()) count = count + 1;
  }
  return count;
}

const directory = await mkdtemp(tmpdir() + "/listing-");
try {
  console.log("files: " + await countFiles(directory));
} finally {
  await rm(directory, { recursive: true });
}
