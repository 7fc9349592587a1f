// price_tags.lua in JavaScript.
// Line 11, seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function priceOf(article, euros) {
  await sleep(1);
  return article + ": " + euros + " euros";
}

async function tags() {
  return await Promise.all(priceOf("tea", 4), priceOf("bread", 3));
}

for (const tag of await tags()) console.log(tag);
