// for_each.lua in JavaScript.
// Line 13, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

let washed = 0;

async function wash(plate) {
  await sleep(plate);
  washed = washed + 1;
}

async function washUp(plates) {
  plates.forEach(wash);
  console.log(`${washed} of ${plates.length} plates are clean`);
}

await washUp([3, 1, 2]);
