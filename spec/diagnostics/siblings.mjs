// siblings.lua in JavaScript.
// Line 9, seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const ships = { Ebb: { crates: 20 } };

async function unload(ship) {
  await sleep(1);
  return ships[ship].crates * 2;
}

async function unloadAll() {
  await Promise.all([unload("Ebb"), unload("Flow")]);
  console.log("all ships are empty");
}

await unloadAll();
