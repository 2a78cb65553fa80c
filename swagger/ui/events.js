// asyncapi.yaml as a page to read: for each event who sends it, what it carries, what it is answered, and examples. The
// description is the server's own, so its Markdown is trusted; nothing comes from anywhere else.
import { load } from '/api/docs/js-yaml.mjs';
import { marked } from '/api/docs/marked.esm.js';

const files = {};

async function read(name) {
  const response = await fetch(`/api/docs/${name}`);
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  files[name] = load(await response.text());
}

// --- the description ---

/** What `{$ref}` refers to; what stands beside the reference, like a description, counts more. `file` is where it stands. */
function resolve(value, file) {
  if (!value.$ref) return { value, file };
  const { $ref, ...beside } = value;
  const [name, pointer] = $ref.split('#');
  const target = pointer.slice(1).split('/').reduce((at, key) => at[key], files[name || file]);
  const found = resolve(target, name || file);
  return { value: { ...found.value, ...beside }, file: found.file };
}

const inEvents = value => resolve(value, 'asyncapi.yaml').value;
const lastPart = ({ $ref }) => $ref.split('/').at(-1);

/** The forms that a schema lets a value have, each with a file to resolve its references in. */
function formsOf(schema, file) {
  const { value, file: at } = resolve(schema, file);
  return value.oneOf ? value.oneOf.flatMap(form => formsOf(form, at)) : [{ value, file: at }];
}

/** The codes of a form that is a failure; none when it is a success. */
function codesOf({ value, file }) {
  const parts = [value, ...(value.allOf ?? [])].map(part => resolve(part, file).value);
  if (!parts.some(({ properties }) => properties?.success?.const === false)) return [];
  return parts.flatMap(({ properties }) => properties?.code?.enum ?? properties?.code?.const ?? []);
}

function typeOf(schema) {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map(one => JSON.stringify(one)).join(' | ');
  const name = { uuid: 'UUID', 'date-time': 'time' }[schema.format];
  const types = [schema.type ?? 'any JSON'].flat().map(type => (type === 'string' && name ? name : type));
  return types.join(' | ');
}

function boundsOf(schema) {
  const { minLength: least, maxLength: most } = schema;
  if (most) return `${least ?? 0}–${most} characters`;
  return schema.minimum !== undefined ? `at least ${schema.minimum}` : '';
}

/** The rows of an object's table: every member, and those of the objects in it. */
function rowsOf({ value, file }, prefix = '') {
  return Object.entries(value.properties ?? {}).flatMap(([name, member]) => {
    const { value: schema, file: at } = resolve(member, file);
    const inner = schema.items ? resolve(schema.items, at) : { value: schema, file: at };
    const description = member.$ref?.endsWith('/Id') ? member.description : schema.description; // what an Id is, is known
    const row = { name: prefix + name, schema, description: description ?? '', isOptional: !value.required?.includes(name) };
    return [row, ...rowsOf(inner, `${prefix}${name}${schema.items ? '[]' : ''}.`)];
  });
}

// --- the page ---

function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter(child => child));
  return node;
}

function markdown(text, tag = 'div') {
  const node = document.createElement(tag);
  node.innerHTML = tag === 'div' ? marked.parse(text) : marked.parseInline(text);
  return node;
}

const code = text => element('code', {}, text);
const badge = (kind, href, text) => element('a', { class: `badge ${kind}`, href }, text);

function payloadTable(form) {
  const rows = rowsOf(form).map(({ name, schema, description, isOptional }) => element('tr', {},
    element('td', {}, code(name), isOptional && element('small', {}, ' optional')),
    element('td', {}, code(typeOf(schema)), ' ', element('small', {}, boundsOf(schema))),
    markdown(description, 'td')));
  const heads = ['member', 'type', ''].map(text => element('th', { scope: 'col' }, text));
  const table = element('table', {}, element('thead', {}, element('tr', {}, ...heads)), element('tbody', {}, ...rows));
  return element('div', { class: 'scroll' }, table);
}

function formNodes(forms) {
  return forms.flatMap(form => [
    forms.length > 1 && form.value.title && element('h6', {}, form.value.title),
    payloadTable(form),
  ]);
}

function exampleNodes(message) {
  return (message.examples ?? []).map(({ summary, payload }) => element('figure', {},
    element('figcaption', {}, summary ?? 'Example'), element('pre', {}, code(JSON.stringify(payload, null, 2)))));
}

function ackNodes(reply) {
  const message = inEvents(reply.messages[0]);
  const forms = formsOf(message.payload, 'asyncapi.yaml');
  const codes = forms.flatMap(codesOf);
  return [
    element('h5', {}, 'Ack'),
    ...formNodes(forms.filter(form => codesOf(form).length === 0)),
    element('p', { class: 'codes' }, 'or ', element('a', { href: '#acks' }, 'a failure'), ': ',
      ...codes.flatMap(text => [code(text), ' '])),
    ...exampleNodes(message),
  ];
}

/** One direction of an event. */
function operationNode({ action, summary, description, messages, reply, traits = [] }) {
  const message = inEvents(messages[0]);
  const isUp = action === 'receive';
  const limit = traits.map(inEvents)[0]?.['x-rate-limit'];
  const isKept = message.traits?.some(trait => lastPart(trait) === 'kept');
  return element('section', { class: action },
    element('h4', {}, isUp ? 'Client → server' : 'Server → client',
      !isUp && badge(isKept ? 'kept' : 'unkept', '#what-is-kept', isKept ? 'kept, has an offset' : 'not kept'),
      limit && badge('limit', '#acks', `limit ${limit.name}: ${limit.times} in ${limit.seconds} s`)),
    markdown(summary, 'p'), description && markdown(description),
    element('h5', {}, 'Payload'), ...formNodes(formsOf(message.payload, 'asyncapi.yaml')), ...exampleNodes(message),
    ...(reply ? ackNodes(reply) : []));
}

function eventNode(name, { servers }, { operations, servers: all }) {
  const ours = Object.values(operations).filter(({ channel }) => lastPart(channel) === name);
  const where = servers?.map(server => code(all[lastPart(server)].pathname));
  return element('article', { id: name },
    element('h3', {}, element('a', { href: `#${name}` }, name), ...(where ?? []).flatMap(path => [' ', path])),
    ...ours.map(operationNode));
}

function link(id, text) {
  return element('li', {}, element('a', { href: `#${id}` }, text));
}

function render(description) {
  const { info, channels } = description;
  const [main, nav] = [document.querySelector('main'), document.querySelector('nav')];
  const about = markdown(info.description);
  for (const heading of about.querySelectorAll('h2')) {
    heading.id = heading.textContent.toLowerCase().replaceAll(/\W+/g, '-');
  }
  main.replaceChildren(element('h1', {}, info.title, ' ', element('small', {}, info.version)), about);
  nav.replaceChildren(element('a', { href: '/api/docs' }, 'Routes'), ' ', element('a', { href: '/api/docs/asyncapi.yaml' }, 'YAML'),
    element('ul', {}, ...[...about.querySelectorAll('h2')].map(({ id, textContent }) => link(id, textContent))));
  for (const tag of info.tags) {
    const { name, description: text } = inEvents(tag);
    const ours = Object.entries(channels).filter(([, { tags }]) => tags.some(one => lastPart(one) === lastPart(tag)));
    main.append(element('h2', { id: name.toLowerCase() }, name), markdown(text, 'p'));
    main.append(...ours.map(([event, channel]) => eventNode(event, channel, description)));
    nav.append(element('strong', {}, name), element('ul', {}, ...ours.map(([event]) => link(event, event))));
  }
  document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

await Promise.all([read('asyncapi.yaml'), read('openapi.yaml')]);
render(files['asyncapi.yaml']);
