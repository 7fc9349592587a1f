// busy.lua in JavaScript.
// Line 19, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function loadLimit() {
  await sleep(1);
  return 25000;
}

function isPrime(n) {
  let divisor = 2;
  while (n % divisor !== 0) divisor = divisor + 1;
  return divisor === n;
}

async function countPrimes() {
  const limit = await loadLimit();
  let count = 0;
  for (let n = 2; n <= limit; n = n + 1) if (isPrime(n)) count = count + 1;
  return count;
}

setTimeout(console.log, 10, "a timer of 10 ms");
console.log(await countPrimes());
