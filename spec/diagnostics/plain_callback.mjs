// plain_callback.lua in JavaScript.
// Line 12, seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function sendHeartbeat(number) {
  await sleep(1);
  console.log("heartbeat " + number);
}

function startHeartbeat() {
  setTimeout(() => {
    await sendHeartbeat(1);
  }, 1);
}

startHeartbeat();
