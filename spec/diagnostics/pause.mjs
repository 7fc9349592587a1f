// pause.lua in JavaScript.
// Line 18, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

let attempts = 0;

function connect() {
  attempts = attempts + 1;
  if (attempts < 3) throw new Error("the harbour is closed");
  return "a berth";
}

async function connectPatiently() {
  for (let attempt = 1; attempt <= 5; attempt = attempt + 1) {
    try {
      return connect();
    } catch {
      sleep(attempt);
    }
  }
}

console.log(await connectPatiently());
