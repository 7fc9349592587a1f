// auction.lua in JavaScript.
// Line 13, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const bids = { Ada: 120, Bob: 95 };

async function bidOf(who) {
  await sleep(1);
  return bids[who];
}

async function winner(one, other) {
  if (bidOf(one) > bidOf(other)) return one;
  return other;
}

console.log("sold to " + await winner("Ada", "Bob"));
