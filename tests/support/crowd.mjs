// Many users at once, each with a light socket: written by SQL and given a token here, since to register so many would take
// longer than the test that needs them.
//
//   const crowd = await Crowd.of(1000, watchers);   // contacts of each watcher
//   await crowd.connect(server);
//   crowd.cut();

import { createHmac } from 'node:crypto';

import { unique } from './api.mjs';
import { RawWebSocket } from './raw.mjs';
import { jwtSecret } from './server.mjs';

const hour = 3600;
const encode = value => Buffer.from(JSON.stringify(value)).toString('base64url');

function tokenOf(id, username, login) {
  const iat = Math.floor(Date.now() / 1000);
  const input = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ id, username, sid: login, iat, exp: iat + hour })}`;
  return `${input}.${createHmac('sha256', jwtSecret).update(input).digest('base64url')}`;
}

const insertUsers = (name, count) => `
  WITH added AS (
    INSERT INTO users (username, password_hash) SELECT '${name}_' || i, 'x' FROM generate_series(1, ${count}) i
    RETURNING id, username
  ), logged_in AS (INSERT INTO logins (user_id, tokens_until, expires_at)
    SELECT id, now() + interval '1 hour', now() + interval '1 hour' FROM added RETURNING id, user_id)
  SELECT added.id, username, logged_in.id FROM added JOIN logged_in ON user_id = added.id`;

const insertContacts = (name, contact) => `
  WITH crowd AS (SELECT id FROM users WHERE starts_with(username, '${name}_')),
  added AS (
    INSERT INTO chats (kind, low_id, high_id)
    SELECT 'direct', least(id, '${contact}'), greatest(id, '${contact}') FROM crowd RETURNING id, low_id, high_id
  ), pairs AS (
    SELECT id, low_id AS one, high_id AS other FROM added UNION ALL SELECT id, high_id, low_id FROM added
  ), joined AS (INSERT INTO members (chat_id, user_id, contact_id) SELECT id, one, other FROM pairs)
  INSERT INTO contacts (user_id, contact_id, chat_id) SELECT one, other, id FROM pairs`;

export class Crowd {
  users = []; // {id, username, token}
  sockets = [];

  /** So many users, each a contact of each of `contacts`. */
  static async of(count, contacts) {
    const crowd = new Crowd();
    const { server } = contacts[0];
    const name = unique('crowd');
    crowd.users = (await server.query(insertUsers(name, count))).split('\n').map(row => {
      const [id, username, login] = row.split('|');
      return { id, username, token: tokenOf(id, username, login) };
    });
    for (const { id } of contacts) await server.query(insertContacts(name, id));
    return crowd;
  }

  /** A socket of each of `users`, all at once. */
  async connect(server, users = this.users) {
    const opening = users.map(({ token }) => RawWebSocket.session({ server, token }));
    this.sockets.push(...(await Promise.all(opening)));
  }

  /** All connections are reset. */
  cut() {
    for (const socket of this.sockets.splice(0)) socket.destroy();
  }
}
