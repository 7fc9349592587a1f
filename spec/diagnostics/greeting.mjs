// greeting.lua in JavaScript.
// Line 14, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const names = { 7: "Ada" };

async function loadName(id) {
  await sleep(1);
  return names[id];
}

async function greet(id) {
  const name = loadName(id);
  return "Hello, " + name + "!";
}

console.log(await greet(7));
