// Node's child_process.fork and its messages, measured for pipe_bench, queue_bench, process_bench
// and call_bench. The children are this script again.
//
// node_peer.js trip BYTES COUNT             prints seconds per round trip of a message
// node_peer.js flow BYTES COUNT             prints seconds per message to a child
// node_peer.js start MEGABYTES FDS COUNT    prints seconds per child that ends at once
// node_peer.js call COUNT                   prints seconds per child that doubles a number
//
// Messages are Buffers, with the serialization that knows them ('advanced'; the other one, JSON,
// makes a list of numbers of them). A wrong result is an exception, and a failed exit.
'use strict';

const assert = require('node:assert');
const {fork} = require('node:child_process');
const {once} = require('node:events');
const fs = require('node:fs');

const seconds = (began, ended) => Number(ended - began) / 1e9;
const now = process.hrtime.bigint;

function start(...words) {
  return fork(__filename, words.map(String), {serialization: 'advanced'});
}

async function end(child) {
  const [code] = await once(child, 'exit');
  assert.strictEqual(code, 0);
}

// The number stands at both ends, so that half a message is not taken for a whole one.
function mark(message, number) {
  message.writeDoubleLE(number, 0);
  message.writeDoubleLE(number, message.length - 8);
}

function hasMark(message, number) {
  return message.readDoubleLE(0) === number && message.readDoubleLE(message.length - 8) === number;
}

// The clock goes when the first trip, which waits for the child's start, is over.
async function trip(size, count) {
  const child = start('echo');
  const message = Buffer.alloc(size);
  let trips = 0;
  let began;
  let ended;
  const send = () => {
    mark(message, trips);
    child.send(message);
  };
  child.on('message', (answer) => {
    assert(message.equals(answer), 'another message came back');
    if (trips === 0) began = now();
    if (trips === count) {
      ended = now();
      child.disconnect();
    } else {
      ++trips;
      send();
    }
  });
  send();
  await end(child);
  return seconds(began, ended) / count;
}

function echo() {
  process.on('message', (message) => process.send(message));
}

// As many as the child takes: send() says when that is too much, and a callback when it has gone.
async function flow(size, count) {
  const child = start('take', size, count);
  const message = Buffer.alloc(size);
  await once(child, 'message');
  const began = now();
  let sent = 0;
  const sendAll = () => {
    for (let hasRoom = true; sent < count; ++sent) {
      mark(message, sent);
      if (!hasRoom) {
        ++sent;
        child.send(message, sendAll);
        return;
      }
      hasRoom = child.send(message);
    }
  };
  sendAll();
  await once(child, 'message');
  const ended = now();
  child.disconnect();
  await end(child);
  return seconds(began, ended) / count;
}

function take(size, count) {
  let taken = 0;
  process.on('message', (message) => {
    assert.strictEqual(message.length, size);
    assert(taken < count && hasMark(message, taken), 'out of order, or not what was sent');
    if (++taken === count) process.send('all');
  });
  process.send('ready');
}

async function repeat(count, work) {
  await work();
  const began = now();
  for (let i = 0; i < count; ++i) await work();
  return seconds(began, now()) / count;
}

async function startAndWait(megabytes, fds, count) {
  const ballast = Buffer.alloc(megabytes << 20, 'x');
  const held = Array.from({length: fds}, () => fs.openSync('/dev/null'));
  const took = await repeat(count, () => end(start('nothing')));
  held.forEach(fs.closeSync);
  assert.strictEqual(ballast.length, megabytes << 20);
  return took;
}

function call(count) {
  return repeat(count, async () => {
    const child = start('double');
    child.send(21);
    const ended = end(child);
    const [answer] = await once(child, 'message');
    assert.strictEqual(answer, 42);
    await ended;
  });
}

function double() {
  process.once('message', (value) => process.send(2 * value, () => process.disconnect()));
}

const works = {trip, flow, start: startAndWait, call, echo, take, double, nothing: () => {}};
const [name, ...figures] = process.argv.slice(2);
Promise.resolve(works[name](...figures.map(Number))).then((figure) => {
  if (figure !== undefined) console.log(figure);
});
