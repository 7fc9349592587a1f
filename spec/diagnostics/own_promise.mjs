// own_promise.lua in JavaScript.
// Line 13, not seen by node.
function ask(question) {
  return new Promise((resolve) => {
    setTimeout(() => {
      if (question === "tea?") resolve("yes");
    }, 1);
  });
}

async function breakfast() {
  console.log("tea:", await ask("tea?"));
  console.log("coffee:", await ask("coffee?"));
}

await breakfast();
