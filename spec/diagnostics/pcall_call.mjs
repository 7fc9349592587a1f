// pcall_call.lua in JavaScript.
// Line 14, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function sendMail(address) {
  await sleep(1);
  if (!address.includes("@")) throw new Error("no address: " + address);
}

async function notify(addresses) {
  let sent = 0;
  for (const address of addresses) {
    try {
      sendMail(address);
      sent = sent + 1;
    } catch {
      console.log("not sent to " + address);
    }
  }
  return sent;
}

console.log("sent: " + await notify(["ada@example.org", "bob@example.org"]));
