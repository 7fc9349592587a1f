// template.lua in JavaScript.
// Line 13, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const texts = { title: "Tides", author: "Ada" };

async function loadText(key) {
  await sleep(1);
  return texts[key];
}

async function render(template) {
  return template.replace(/{(\w+)}/g, async (_, key) => await loadText(key));
}

console.log(await render("{title}, by {author}"));
