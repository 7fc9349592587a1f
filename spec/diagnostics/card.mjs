// card.lua in JavaScript.
// Line 13, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function loadName(id) {
  await sleep(1);
  return "user " + id;
}

async function printCard(id) {
  const card = {
    id,
    name: loadName(id),
  };
  await sleep(5);
  console.log(`#${card.id}: ${card.name}`);
}

await printCard(7);
