// handler.lua in JavaScript.
// Line 11, seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function loadSettings() {
  await sleep(1);
  return { color: "blue" };
}

function apply(settings) {
  const size = settings.font.size;
  console.log("size " + size);
}

loadSettings().then(apply);
await sleep(10);
console.log("ready");
