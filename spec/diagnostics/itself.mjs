// itself.lua in JavaScript.
// Line 16, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const parents = { reef: "coast", coast: "reef" };
const calls = {};

function loadOnce(name) {
  calls[name] ??= loadPath(name);
  return calls[name];
}

async function loadPath(name) {
  await sleep(1);
  const parent = parents[name];
  return (parent ? await loadOnce(parent) : "") + "/" + name;
}

console.log(await loadOnce("reef"));
