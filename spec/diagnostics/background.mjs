// background.lua in JavaScript.
// Line 8, seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function refresh(cache) {
  await sleep(1);
  if (!cache.url) {
    throw new Error("the cache has no url");
  }
  cache.fresh = true;
}

const cache = { path: "/tides" };
refresh(cache);
await sleep(10);
console.log("fresh:", cache.fresh);
