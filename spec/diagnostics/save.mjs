// save.lua in JavaScript.
// Line 13, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const orders = [];

async function save(order) {
  await sleep(5);
  orders.push(order);
}

async function placeOrder(order) {
  save(order);
  return orders.length + " orders are safe";
}

console.log(await placeOrder({ article: "tea" }));
