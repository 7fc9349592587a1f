// Peer: node.
//
//   node --expose-gc bench/node.mjs              prints the names of its benchmarks
//   node --expose-gc bench/node.mjs NAME [N]     prints ns of CPU time per operation, or bytes each

const million = 1000000;
const maxBatches = 20;
const collect = globalThis.gc ?? (() => {});

const withResolvers = () => {
  let resolve, reject;
  const promise = new Promise((a, b) => { resolve = a; reject = b; });
  return { promise, resolve, reject };
};
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const same = () => 10;
const spread = (i) => 1 + (i % 1000);

async function awaitNil(n) {
  for (let i = 0; i < n; i++) await undefined;
}

async function awaitSettled(n) {
  const p = Promise.resolve(1);
  for (let i = 0; i < n; i++) await p;
}

async function awaitPending(n) {
  for (let i = 0; i < n; i++) {
    const { promise, resolve } = withResolvers();
    queueMicrotask(resolve);
    await promise;
  }
}

async function awaitNext(n) {
  const p = Promise.resolve(1);
  const f = () => {};
  for (let i = 0; i < n; i++) await p.then(f);
}

async function call(n) {
  const f = async (x) => x;
  for (let i = 0; i < n; i++) await f(i);
}

async function callPending(n) {
  const f = async () => {
    const { promise, resolve } = withResolvers();
    queueMicrotask(resolve);
    await promise;
  };
  for (let i = 0; i < n; i++) await f();
}

async function callNext(n) {
  const settled = Promise.resolve(1);
  const g = () => {};
  const f = async () => { await settled.then(g); };
  for (let i = 0; i < n; i++) await f();
}

async function chain(n) {
  const increment = (x) => x + 1;
  let p = Promise.resolve(0);
  for (let i = 0; i < n; i++) p = p.then(increment);
  if (await p !== n) throw new Error('chain');
}

async function all(n) {
  const f = async (x) => x;
  const calls = [];
  for (let i = 0; i < n; i++) calls.push(f(i));
  const values = await Promise.all(calls);
  if (values.length !== n) throw new Error('all');
}

const sleepers = (delay) => async (n) => {
  const sleeper = async (i) => { await sleep(delay(i)); };
  const calls = [];
  for (let i = 0; i < n; i++) calls.push(sleeper(i));
  await Promise.all(calls);
};

const timers = (delay) => (n) => new Promise((resolve) => {
  let fired = 0;
  const count = () => { if (++fired === n) resolve(); };
  for (let i = 0; i < n; i++) setTimeout(count, delay(i));
});

function suspendedBytes(measure) {
  return async (n) => {
    const { promise } = withResolvers();
    const f = async () => { await promise; };
    const keep = new Array(n).fill(null);
    collect();
    const before = measure();
    for (let i = 0; i < n; i++) keep[i] = f();
    collect();
    return (measure() - before) / n;
  };
}

const benches = {
  await_nil: { n: million, rounds: 8, run: awaitNil },
  await_settled: { n: million, rounds: 8, run: awaitSettled },
  await_pending: { n: million, rounds: 5, run: awaitPending },
  await_next: { n: million, rounds: 5, run: awaitNext },
  call: { n: million, rounds: 5, run: call },
  call_pending: { n: million, rounds: 5, run: callPending },
  call_next: { n: million, rounds: 5, run: callNext },
  chain: { n: million, rounds: 5, run: chain },
  all: { n: 100000, rounds: 20, run: all },
  sleepers: { n: million, rounds: 3, run: sleepers(same) },
  sleepers_spread: { n: million, rounds: 3, run: sleepers(spread) },
  timers: { n: million, rounds: 3, run: timers(same) },
  timers_spread: { n: million, rounds: 3, run: timers(spread) },
  suspended_count: {
    n: 100000, bytes: true, run: suspendedBytes(() => process.memoryUsage().heapUsed),
  },
  suspended_rss: { n: 100000, bytes: true, run: suspendedBytes(() => process.memoryUsage().rss) },
};

async function measure(bench, n = bench.n) {
  if (bench.bytes) return bench.run(n);
  const batches = Math.max(1, Math.min(maxBatches, Math.floor(bench.n / n)));
  let best = Infinity;
  for (let round = 0; round < bench.rounds; round++) {
    collect();
    const start = process.cpuUsage();
    const wall = process.hrtime.bigint();
    for (let batch = 0; batch < batches; batch++) await bench.run(n);
    const used = process.cpuUsage(start);
    if (process.env.WALL) console.error('wall', Number(process.hrtime.bigint() - wall) / (n * batches));
    best = Math.min(best, used.user + used.system);
  }
  return best * 1000 / (n * batches);
}

const [name, n] = process.argv.slice(2);
if (name === undefined) {
  console.log(Object.keys(benches).join('\n'));
} else {
  if (!Object.hasOwn(benches, name)) throw new Error(`no benchmark ${name}`);
  console.log((await measure(benches[name], n && Number(n))).toFixed(2));
}
