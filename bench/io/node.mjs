// Peer: node. `node bench/io/node.mjs echo`.
import net from 'node:net';

const programs = {
  echo() {
    const server = net.createServer((socket) => {
      socket.on('data', (chunk) => { socket.write(chunk); });
      socket.on('error', () => {});
    });
    server.listen(0, '127.0.0.1', () => { console.log(server.address().port); });
  },
};

programs[process.argv[2]]();
