// ranking.lua in JavaScript.
// Line 13, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const scores = { Ada: 3, Bob: 9, Cleo: 5 };

async function scoreOf(player) {
  await sleep(1);
  return scores[player];
}

async function ranking(players) {
  players.sort(async (one, other) => await scoreOf(other) - await scoreOf(one));
  return players;
}

console.log((await ranking(["Ada", "Bob", "Cleo"])).join(" "));
