// Socket.IO 5 on /socket.io/: namespaces, events, acks and attachments by both transports, and what breaks the rules.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';

import { openWebSocket, patient, PollingSession, startConformance } from './client.mjs';

const many = 24;
let program;

before(async () => {
  program = await startConformance();
});
after(() => program.stop());

const repeat = work => Promise.all(Array.from({ length: many }, (_, i) => work(i)));
const open = async () => (await openWebSocket(program.port, '/socket.io/'))[0];

/** Joins, and reads the reply and the greeting of the program. */
async function join(socket, prefix = '40', suffix = '') {
  const namespace = prefix.slice(2);
  socket.send(prefix + suffix);
  const reply = await socket.text();
  assert.ok(reply.startsWith(`40${namespace}{`), reply);
  const { sid, ...rest } = JSON.parse(reply.slice(2 + namespace.length));
  assert.match(sid, /^[A-Za-z0-9_-]{20}$/);
  assert.deepEqual(rest, {});
  assert.equal(await socket.text(), `42${namespace}["auth",${suffix || '{}'}]`);
  return sid;
}

async function joined() {
  const socket = await open();
  await join(socket);
  return socket;
}

// --- namespaces ---

test('a client joins namespaces, each with an id of its own', async () => {
  const [socket, { sid }] = await openWebSocket(program.port, '/socket.io/');
  const first = await join(socket, '40', '{"token":"123"}');
  const second = await join(socket, '40/custom,', '{"token":"abc"}');
  assert.equal(new Set([sid, first, second]).size, 3);
  socket.send('42/custom,["message","there"]');
  assert.equal(await socket.text(), '42/custom,["message-back","there"]');
  socket.send('42["message","here"]');
  assert.equal(await socket.text(), '42["message-back","here"]');
  await socket.close();
});

test('an unknown namespace is refused, and the session goes on', async () => {
  const socket = await open();
  socket.send('40/random');
  assert.equal(await socket.text(), '44/random,{"message":"Invalid namespace"}');
  socket.send('40/random,{"token":"x"}');
  assert.equal(await socket.text(), '44/random,{"message":"Invalid namespace"}');
  await join(socket);
  await socket.close();
});

test('a namespace can be left and joined again', async () => {
  const socket = await joined();
  await join(socket, '40/custom,');
  socket.send('41/custom,');
  socket.send('42["message",1]');
  assert.equal(await socket.text(), '42["message-back",1]');
  await join(socket, '40/custom,');
  socket.send('41');
  await join(socket);
  await socket.close();
});

test('a client that joins nothing is closed', async () => {
  const quick = await startConformance({ ...patient, CONNECT_TIMEOUT_MS: '50' });
  const [socket] = await openWebSocket(quick.port, '/socket.io/');
  assert.equal(await socket.closeCode(), 1000);
  const [refused] = await openWebSocket(quick.port, '/socket.io/');
  refused.send('40/random');
  assert.equal(await refused.text(), '44/random,{"message":"Invalid namespace"}');
  assert.equal(await refused.closeCode(), 1000);
  const [member] = await openWebSocket(quick.port, '/socket.io/');
  await join(member);
  const [late] = await openWebSocket(quick.port, '/socket.io/');
  assert.equal(await late.closeCode(), 1000); // by now the member's time is over too
  member.send('42["message",1]');
  assert.equal(await member.text(), '42["message-back",1]');
  await member.close();
  await quick.stop();
});

// --- events ---

test('events come back as they were', async () => {
  const socket = await joined();
  for (const text of ['', ',1', ',1,"2",{"3":[true]}', ',"\\u00e9 \\ud83d\\ude00"', ',[[[[]]]],null,-0.5e10',
    `,"${'x'.repeat(100000)}"`, ',{"_placeholder":true,"num":5}']) {
    socket.send(`42["message"${text}]`);
    assert.equal(await socket.text(), `42["message-back"${text}]`);
  }
  await socket.close();
});

test('an event\'s name may be written with escapes, and arguments with spaces', async () => {
  const socket = await joined();
  socket.send('42 [ "mess\\u0061ge" , 1 , { "a" : 2 } ] ');
  assert.equal(await socket.text(), '42["message-back",1,{ "a" : 2 }]');
  await socket.close();
});

test('acks carry the id and the namespace', async () => {
  const socket = await joined();
  await join(socket, '40/custom,');
  socket.send('42456["message-with-ack",1,"2",{"3":[false]}]');
  assert.equal(await socket.text(), '43456[1,"2",{"3":[false]}]');
  socket.send('420["message-with-ack"]');
  assert.equal(await socket.text(), '430[]');
  socket.send('42/custom,7["message-with-ack",true]');
  assert.equal(await socket.text(), '43/custom,7[true]');
  await socket.close();
});

test('attachments go and come behind their packet', async () => {
  const socket = await joined();
  const bytes = [randomBytes(3), randomBytes(0), randomBytes(70000)];
  const values = '{"_placeholder":true,"num":0},[{"_placeholder":true,"num":2}],{"num":1,"_placeholder":true}';
  socket.send(`453-["message",${values}]`);
  for (const part of bytes) socket.send(part);
  assert.equal(await socket.text(), `453-["message-back",${values}]`);
  for (const part of bytes) assert.deepEqual(await socket.binary(), part);
  socket.send('452-789["message-with-ack",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]');
  socket.send(bytes[0]);
  socket.send(bytes[1]);
  assert.equal(await socket.text(), '462-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]');
  assert.deepEqual(await socket.binary(), bytes[0]);
  assert.deepEqual(await socket.binary(), bytes[1]);
  socket.send('450-["message","none"]');
  assert.equal(await socket.text(), '42["message-back","none"]');
  await socket.close();
});

test('the acks of a client are taken without a word', async () => {
  const socket = await joined();
  socket.send('431["unasked"]');
  socket.send('461-2[{"_placeholder":true,"num":0}]');
  socket.send(randomBytes(10));
  socket.send('42["message",1]');
  assert.equal(await socket.text(), '42["message-back",1]');
  await socket.close();
});

test('many events in a row keep their order', async () => {
  const socket = await joined();
  for (let i = 0; i < 5000; i++) socket.send(`42${i}["message-with-ack",${i}]`);
  for (let i = 0; i < 5000; i++) assert.equal(await socket.text(), `43${i}[${i}]`);
  await socket.close();
});

// --- what servers do by themselves ---

const control = async (port = program.port, auth = '') => {
  const [socket] = await openWebSocket(port, '/socket.io/');
  socket.send(`40/control,${auth}`);
  return socket;
};

test('a refusal has a message and data, and may be followed by another try', async () => {
  const socket = await control(program.port, '{"mode":"refuse"}');
  assert.equal(await socket.text(), '44/control,{"message":"not \\"today\\"","data":{"code":7}}');
  socket.send('40/control,{"mode":"late-refuse"}');
  assert.equal(await socket.text(), '44/control,{"message":"not \\"today\\"","data":{"code":7}}');
  socket.send('40/control,');
  assert.match(await socket.text(), /^40\/control,\{"sid":"[^"]*"\}$/);
  await socket.close();
});

test('an answer to a connect may come late, also when the client has gone', async () => {
  const socket = await control(program.port, '{"mode":"late"}');
  await join(socket);
  assert.match(await socket.text(), /^40\/control,\{"sid":"[^"]*","pid":"late"\}$/);
  await socket.close();
  const own = await startConformance({ ...patient, LOG_LEVEL: 'info' });
  for (const mode of ['late', 'late-refuse']) {
    const gone = await control(own.port, `{"mode":"${mode}"}`);
    await join(gone); // so the other connect was read
    await gone.close();
  }
  assert.deepEqual(await own.reasons(3), ['transport close', 'transport close', 'transport close']);
  await own.stop();
});

test('an event before the answer to the connect closes the connection', async () => {
  const socket = await control(program.port, '{"mode":"late"}');
  socket.send('42/control,["leave"]');
  assert.equal(await socket.closeCode(), 1008);
});

test('the server leaves a namespace, or closes the session behind what is queued', async () => {
  const socket = await control();
  assert.match(await socket.text(), /^40\/control,/);
  await join(socket);
  socket.send('42/control,["leave"]');
  assert.equal(await socket.text(), '41/control,');
  socket.send('42["message","still here"]');
  assert.equal(await socket.text(), '42["message-back","still here"]');
  socket.send('40/control,');
  assert.match(await socket.text(), /^40\/control,/);
  socket.send('42/control,["close"]');
  assert.equal(await socket.text(), '42/control,["last"]');
  assert.equal(await socket.closeCode(), 1000);
});

test('a polling client gets what is queued with the close', async () => {
  const session = await PollingSession.open(program.port, '/socket.io/');
  await session.send('40/control,');
  assert.match((await session.packets())[0], /^40\/control,/);
  await session.send('42/control,["close"]');
  assert.deepEqual(await session.packets(), ['42/control,["last"]', '1']);
  await session.assertGone();
});

test('a session that the server closes while it moves ends when it has moved, or when the move failed', () => repeat(
  async i => {
    const session = await PollingSession.open(program.port, '/socket.io/');
    await session.send('40/control,');
    assert.match((await session.packets())[0], /^40\/control,/);
    const socket = await session.probe();
    socket.send('2probe');
    assert.equal(await socket.text(), '3probe');
    await session.send('42/control,["close"]');
    if (i % 2 === 0) {
      socket.send('5');
      assert.equal(await socket.text(), '42/control,["last"]');
      assert.equal(await socket.closeCode(), 1000);
    } else {
      socket.tcp.destroy();
      assert.equal((await session.packets())[0], '42/control,["last"]');
    }
  }
));

test('a server that stops waits for a session that moves', async () => {
  const own = await startConformance();
  const workerOf = ({ sid }) => Buffer.from(sid, 'base64url')[2];
  const session = await PollingSession.open(own.port, '/socket.io/');
  await session.send('40');
  const socket = await session.probe();
  socket.send('2probe');
  assert.equal(await socket.text(), '3probe');
  let other, opening;
  do [other, opening] = await openWebSocket(own.port, '/socket.io/');
  while (workerOf(opening) !== workerOf(session.opening));
  const stopped = own.stop();
  assert.equal(await other.closeCode(), 1001); // so this worker has been told
  socket.send('5');
  assert.match(await socket.text(), /^40\{/);
  assert.equal(await socket.text(), '42["auth",{}]');
  assert.equal(await socket.closeCode(), 1000);
  await stopped;
});

test('a queue past its cap closes the session, ephemeral events never do', async () => {
  const small = await startConformance({ ...patient, QUEUE_MAX_BYTES: '1000000', LOG_LEVEL: 'info' });
  const full = await control(small.port);
  await full.text();
  full.send('42/control,["flood"]');
  assert.equal(await full.closeCode(), 1013);
  assert.deepEqual(await small.reasons(1), ['slow reader']);
  const ephemeral = await control(small.port);
  await ephemeral.text();
  ephemeral.send('42/control,["ephemeral"]');
  let count = 0;
  for (let text = await ephemeral.text(); text !== '42/control,["done"]'; text = await ephemeral.text()) count++;
  assert.equal(count, 50); // half of the cap, and what passed it
  await ephemeral.close();
  await small.stop();
});

test('a sender that paces itself passes any amount through a small queue', async () => {
  const small = await startConformance({ ...patient, QUEUE_MAX_BYTES: '50000' });
  const socket = await control(small.port);
  await socket.text();
  socket.send('42/control,["paced"]');
  for (let i = 0; i < 2000; i++) assert.equal((await socket.text()).length, 10000 + '42/control,["x",]'.length);
  assert.equal(await socket.text(), '42/control,["done"]');
  await socket.close();
  await small.stop();
});

test('a socket is told why it ends, once', async () => {
  const own = await startConformance({ ...patient, LOG_LEVEL: 'info' });
  const reasons = [];
  const end = async (reason, work) => {
    const [socket] = await openWebSocket(own.port, '/socket.io/');
    await join(socket);
    reasons.push(reason);
    await work(socket);
    assert.deepEqual(await own.reasons(reasons.length), reasons);
  };
  await end('client namespace disconnect', socket => socket.send('41'));
  await end('transport close', socket => socket.close());
  await end('transport close', socket => socket.send('1'));
  await end('transport error', socket => socket.tcp.resetAndDestroy());
  await end('transport error', socket => socket.write(Buffer.from([0xff, 0xff])));
  await end('parse error', socket => socket.send('4abc'));
  await end('parse error', socket => socket.send('x'));
  await end('server shutting down', async socket => {
    const stopped = own.stop();
    assert.equal(await socket.closeCode(), 1001);
    await stopped;
  });
});

test('a socket that is silent ends by ping timeout', async () => {
  const strict = await startConformance({ PING_INTERVAL_MS: '20', PING_TIMEOUT_MS: '20', LOG_LEVEL: 'info' });
  const [socket] = await openWebSocket(strict.port, '/socket.io/');
  socket.send('40');
  assert.equal(await socket.closeCode(), 1000);
  assert.deepEqual(await strict.reasons(1), ['ping timeout']);
  await strict.stop();
});

// --- by polling ---

test('all of it by polling, and then by WebSocket', () => repeat(async i => {
  const session = await PollingSession.open(program.port, '/socket.io/');
  await session.send(`40{"token":"${i}"}`);
  const [reply, greeting] = await session.packets();
  assert.match(reply, /^40\{"sid":"[A-Za-z0-9_-]{20}"\}$/);
  assert.equal(greeting, `42["auth",{"token":"${i}"}]`);
  await session.send('451-["message",{"_placeholder":true,"num":0}]\x1ebAQIDBA==');
  assert.deepEqual(await session.packets(), ['451-["message-back",{"_placeholder":true,"num":0}]', 'bAQIDBA==']);
  await session.send('421["message-with-ack","a"]\x1e422["message-with-ack","b"]');
  assert.deepEqual(await session.packets(), ['431["a"]', '432["b"]']);
  const socket = await session.upgrade();
  socket.send('42["message","moved"]');
  assert.equal(await socket.text(), '42["message-back","moved"]');
  await socket.close();
}));

test('a packet with attachments may be spread over posts', async () => {
  const session = await PollingSession.open(program.port, '/socket.io/');
  await session.send('40');
  assert.equal((await session.packets()).length, 2);
  await session.send('452-["message",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]');
  await session.send('bAQ==');
  await session.send('bAg==');
  assert.deepEqual(await session.packets(),
    ['452-["message-back",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]', 'bAQ==', 'bAg==']);
});

test('a bad packet by polling closes the session', async () => {
  const session = await PollingSession.open(program.port, '/socket.io/');
  await session.post('4abc');
  await session.assertGone();
});

// --- what breaks the rules ---

const deep = (open, close, depth) => `42["message",${open.repeat(depth)}${close.repeat(depth)}]`;

test('nesting has a limit', async () => {
  const socket = await joined();
  socket.send(deep('[', ']', 31));
  assert.equal(await socket.text(), deep('[', ']', 31).replace('message', 'message-back'));
  await socket.close();
});

const violations = {
  'an unknown type': '4abc',
  'another unknown type': '47',
  'no type': '4',
  'an event without JSON': '42',
  'an event that is an object': '42{}',
  'an event without a name': '42[]',
  'a name that is no string': '42[null]',
  'a reserved name': '42["disconnect"]',
  'an id that is none': '42abc["message-with-ack",1]',
  'an id that is too long': '4212345678901234567890["message"]',
  'JSON that is cut': '42["message",1',
  'JSON with something behind it': '42["message"]x',
  'bad JSON': '42["message",01]',
  'nesting past the limit': deep('[', ']', 32),
  'objects past the limit': deep('{"a":', '}', 32).replace('}', '1}'),
  'nesting without an end': `42["message",${'['.repeat(100000)}`,
  'too many arguments': `42["message"${',1'.repeat(17)}]`,
  'a second connect': '40',
  'a connect with an array': '40/custom,[]',
  'a connect error': '44{"message":"no"}',
  'an event for a namespace that was not joined': '42/custom,["message"]',
  'leaving a namespace that was not joined': '41/custom',
  'an ack without an id': '43[]',
  'attachments without a count': '45["message"]',
  'too many attachments': '4517-["message"]',
  'a placeholder of nothing': '451-["message",{"_placeholder":true,"num":1}]',
  'bytes that belong to no packet': Buffer.from([1, 2, 3]),
};
for (const [what, message] of Object.entries(violations)) {
  test(`${what} closes the connection`, async () => {
    const socket = await joined();
    socket.send(message);
    assert.equal(await socket.closeCode(), 1008);
  });
}

test('text where an attachment is due closes the connection', async () => {
  const socket = await joined();
  socket.send('451-["message",{"_placeholder":true,"num":0}]');
  socket.send('42["message"]');
  assert.equal(await socket.closeCode(), 1008);
});

test('attachments have a limit together', async () => {
  const socket = await joined();
  socket.send('452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]');
  socket.send(Buffer.alloc(600000));
  socket.send(Buffer.alloc(600000));
  assert.equal(await socket.closeCode(), 1009);
});

test('an event before the connect closes the connection', async () => {
  for (const message of ['42["message"]', '41', '431[]']) {
    const socket = await open();
    socket.send(message);
    assert.equal(await socket.closeCode(), 1008);
  }
});
