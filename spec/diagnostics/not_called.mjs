// not_called.lua in JavaScript.
// Line 11, not seen by node.
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function connect() {
  await sleep(1);
  return { query: (sql) => "result of " + sql };
}

async function report() {
  const database = await connect;
  return database.query("select 1");
}

console.log(await report());
