// Peer: node. `node bench/io/node.mjs echo`.
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import net from 'node:net';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';

async function read(request) {
  let text = '';
  request.setEncoding('utf8');
  for await (const chunk of request) text += chunk;
  return text;
}

function send(response, text, type = 'text/plain; charset=utf-8') {
  response.setHeader('Content-Type', type);
  response.setHeader('Content-Length', Buffer.byteLength(text));
  response.end(text);
}

const pages = {
  '/': async (request, response) => { send(response, 'hello, world\n'); },
  '/json': async (request, response) => {
    const value = JSON.parse(await read(request));
    send(response, JSON.stringify({ name: value.name, n: value.of.n, tags: value.tags }),
      'application/json');
  },
  '/sleep': async (request, response) => {
    await sleep(1);
    send(response, 'hello, world\n');
  },
  '/file': async (request, response, path) => {
    response.setHeader('Content-Length', (await fs.promises.stat(path)).size);
    await pipeline(fs.createReadStream(path), response);
  },
};

const programs = {
  echo() {
    const server = net.createServer((socket) => {
      socket.on('data', (chunk) => { socket.write(chunk); });
      socket.on('error', () => {});
    });
    server.listen(0, '127.0.0.1', () => { console.log(server.address().port); });
  },

  http(path) {
    const server = http.createServer(async (request, response) => {
      // Who leaves in the midst of a reply is no failure.
      await pages[request.url](request, response, path).catch(() => { response.destroy(); });
    });
    server.listen(0, '127.0.0.1', () => { console.log(server.address().port); });
  },

  websocket() {
    const { WebSocketServer } = createRequire(import.meta.url)('ws');
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
    server.on('connection', (ws) => {
      ws.on('message', (message, binary) => { ws.send(message, { binary }); });
    });
    server.on('listening', () => { console.log(server.address().port); });
  },

  async fetch() {
    const [port, count, most] = process.argv.slice(3).map(Number);
    const pass = async () => {
      let left = count;
      const work = async () => {
        while (left-- > 0) await (await fetch(`http://127.0.0.1:${port}/`)).text();
      };
      await Promise.all(Array.from({ length: most }, work));
    };
    await pass();
    let time = Infinity, cpu = Infinity;
    for (let i = 0; i < 3; i++) {
      const start = performance.now(), before = process.cpuUsage();
      await pass();
      const used = process.cpuUsage(before);
      time = Math.min(time, performance.now() - start);
      cpu = Math.min(cpu, used.user + used.system);
    }
    console.log(Math.round(time * 1e6 / count), Math.round(cpu * 1e3 / count));
    process.exit();
  },
};

programs[process.argv[2]](...process.argv.slice(3));
