// status.lua in JavaScript.
// Line 11, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function statusOf(order) {
  await sleep(1);
  return order % 2 === 0 ? "sent" : "open";
}

async function describe(order) {
  if (statusOf(order) === "sent") return "order " + order + " is on its way";
  return "order " + order + " is being packed";
}

console.log(await describe(1));
console.log(await describe(2));
