// invoice.lua in JavaScript.
// Line 15, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const prices = { tea: 4, bread: 3, honey: 9 };

async function priceOf(article) {
  await sleep(1);
  return prices[article];
}

async function total(articles) {
  let sum = 0;
  for (const article of articles) {
    sum = sum + priceOf(article);
  }
  return sum;
}

console.log("to pay: " + await total(["tea", "honey"]));
