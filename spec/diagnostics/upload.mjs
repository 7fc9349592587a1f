// upload.lua in JavaScript.
// Line 14, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const done = [];

async function upload(name) {
  await sleep(name.length);
  done.push(name);
}

async function uploadAll(names) {
  for (const name of names) {
    upload(name);
  }
  console.log(`${done.length} of ${names.length} uploaded`);
}

await uploadAll(["sun.png", "moon.png", "tide.png"]);
