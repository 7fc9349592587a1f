// Peer: node. `node bench/io/node.mjs echo`.
import { createRequire } from 'node:module';
import net from 'node:net';

const programs = {
  echo() {
    const server = net.createServer((socket) => {
      socket.on('data', (chunk) => { socket.write(chunk); });
      socket.on('error', () => {});
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
};

programs[process.argv[2]]();
