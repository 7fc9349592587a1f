// double.lua in JavaScript.
// Line 11, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function resize(image) {
  await sleep(1);
  return image + " (small)";
}

async function resizeAll(images) {
  const small = images.map(resize);
  return small.length + " images are small";
}

console.log(await resizeAll(["sun.png", "moon.png"]));
