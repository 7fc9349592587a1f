// missing_return.lua in JavaScript.
// Line 17, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function loadUser(id) {
  await sleep(1);
  return { id, name: "Ada" };
}

async function loadOrders(user) {
  await sleep(1);
  return [user.name + "'s tea", user.name + "'s bread"];
}

const chain = loadUser(7)
  .then((user) => {
    loadOrders(user);
  })
  .then((orders) => {
    console.log("orders: " + (orders?.length ?? "none"));
  });

await chain;
