// door.lua in JavaScript.
// Line 13, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const guests = { Ada: true };

async function isGuest(name) {
  await sleep(1);
  return guests[name] ?? false;
}

async function openDoor(name) {
  if (isGuest(name)) return name + " comes in";
  return name + " stays outside";
}

console.log(await openDoor("Ada"));
console.log(await openDoor("Mallory"));
