// profile.lua in JavaScript.
// Line 14, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const users = {
  async find(email) {
    await sleep(1);
    return { name: "Ada", email, admin: true };
  },
};

async function mayEdit(email, page) {
  const user = users.find(email);
  return user.admin || page.owner === email;
}

const page = { title: "Tides", owner: "bob@example.org" };
if (await mayEdit("ada@example.org", page)) {
  console.log("editing " + page.title);
}
