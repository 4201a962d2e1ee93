// The official OpenAI client against a server: client.mjs URL. Ends with 0 where all is as it says.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const url = process.argv[2];
// The server needs no token, and this client does not go without a key.
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0 });
const debate = { model: 'flow:debate', messages: [{ role: 'user', content: 'Tea or coffee?' }] };

async function session(id) {
  return (await fetch(`${url}/api/v1/sessions/${id}`)).json();
}

// Every flow is a model.
const models = [];
for await (const model of client.models.list()) models.push(model.id);
assert.ok(models.includes('flow:debate'), models.join());
assert.equal((await client.models.retrieve('flow:debate')).object, 'model');

// Whole.
const { data: whole, response } = await client.chat.completions.create(debate).withResponse();
const content = whole.choices[0].message.content;
assert.ok(content.startsWith('**Proposer:** '), content);
assert.ok(content.includes('\n\n**Opponent:** '), content);
assert.equal(whole.choices[0].finish_reason, 'stop');
const first = await session(response.headers.get('x-tertulia-session'));
assert.equal(first.status, 'finished');
assert.equal(whole.usage.prompt_tokens, first.prompt_tokens);
assert.equal(whole.usage.completion_tokens, first.completion_tokens);
assert.equal(whole.usage.total_tokens, first.prompt_tokens + first.completion_tokens);

// As a stream.
const { data: stream, response: head } = await client.chat.completions
  .create({ ...debate, stream: true, stream_options: { include_usage: true } })
  .withResponse();
const chunks = [];
for await (const chunk of stream) chunks.push(chunk);
const said = chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? '').join('');
assert.ok(chunks.length > 20, `${chunks.length} chunks`);
assert.ok(said.startsWith('**Proposer:** ') && said.includes('\n\n**Moderator:** '), said);
assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
assert.equal(chunks.at(-2).choices[0].finish_reason, 'stop');
const second = await session(head.headers.get('x-tertulia-session'));
assert.deepEqual(chunks.at(-1).choices, []);
assert.equal(chunks.at(-1).usage.completion_tokens, second.completion_tokens);

// By the client's own helper, which is strict about the order of chunks.
const helper = client.chat.completions.stream(debate);
const final = await helper.finalChatCompletion();
assert.ok(final.choices[0].message.content.startsWith('**Proposer:** '));

// Errors are the client's own.
await assert.rejects(client.chat.completions.create({ ...debate, model: 'gpt-4o' }), (error) => {
  assert.ok(error instanceof OpenAI.NotFoundError);
  assert.equal(error.code, 'model_not_found');
  assert.equal(error.param, 'model');
  return true;
});
await assert.rejects(client.chat.completions.create({ ...debate, n: 2 }), OpenAI.BadRequestError);

// A session that waits for a person is gone on with by its header.
const flow = {
  tertulia: 1, name: 'quick', topic: 'x',
  roles: { a: { name: 'Ann', prompt: 'You are Ann.' }, me: { name: 'Me', prompt: 'You decide.' } },
  steps: [{ speak: 'a', task: 'Say it.' }, { ask: 'me', prompt: 'Good?', choices: ['yes', 'no'] },
    { speak: 'a', task: 'Thank.' }],
};
const made = await fetch(`${url}/api/v1/flows`, {
  method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(flow),
});
assert.equal(made.status, 201);
const messages = [{ role: 'user', content: 'Tea?' }];
const { data: asked, response: where } = await client.chat.completions
  .create({ model: 'flow:quick', messages })
  .withResponse();
assert.ok(asked.choices[0].message.content.endsWith('**Me** is asked: Good?\n- yes\n- no'));
messages.push(asked.choices[0].message, { role: 'user', content: 'yes' });
const id = where.headers.get('x-tertulia-session');
const thanked = await client.chat.completions.create(
  { model: 'flow:quick', messages }, { headers: { 'X-Tertulia-Session': id } });
assert.ok(thanked.choices[0].message.content.startsWith('**Me:** yes\n\n**Ann:** '));
assert.equal((await session(id)).status, 'finished');
console.log('the client is content');
