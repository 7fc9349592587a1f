// thrown_table.lua in JavaScript.
// Line 10, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const accounts = { ada: 5 };

async function withdraw(account, amount) {
  await sleep(1);
  if (accounts[account] < amount) {
    throw { code: "INSUFFICIENT", account, missing: amount - accounts[account] };
  }
  accounts[account] -= amount;
}

async function pay(account, amount) {
  await withdraw(account, amount);
  console.log("paid " + amount);
}

await pay("ada", 100);
