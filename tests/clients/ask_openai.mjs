// The official OpenAI client for JavaScript: `ask_openai.mjs MODEL`, OPENAI_BASE_URL and OPENAI_API_KEY in the environment.
// Prints one JSON object.

import OpenAI from "openai";

const model = process.argv[2];
const client = new OpenAI({ maxRetries: 0 });
const messages = [{ role: "user", content: "What is an epoch?" }];
const stream_options = { include_usage: true };
const told = { models: [] };

for await (const each of client.models.list()) told.models.push(each.id);

const chat = await client.chat.completions.create({ model, messages, max_tokens: 24 });
told.chat = { id: chat.id, text: chat.choices[0].message.content, usage: chat.usage };

told.stream = { text: "", usage: null };
for await (const chunk of await client.chat.completions.create({ model, messages, max_tokens: 24, stream: true, stream_options })) {
  told.stream.text += chunk.choices[0]?.delta.content ?? "";
  told.stream.usage = chunk.usage ?? told.stream.usage;
}

const completion = await client.completions.create({ model, prompt: "An epoch is", max_tokens: 24 });
told.completion = { id: completion.id, text: completion.choices[0].text, usage: completion.usage };

told.completionStream = { text: "", usage: null };
for await (const chunk of await client.completions.create({ model, prompt: "An epoch is", max_tokens: 24, stream: true, stream_options })) {
  told.completionStream.text += chunk.choices[0]?.text ?? "";
  told.completionStream.usage = chunk.usage ?? told.completionStream.usage;
}

try {
  await client.chat.completions.create({ model: "no/such", messages });
} catch (error) {
  told.unknown = { status: error.status, code: error.code };
}
console.log(JSON.stringify(told));
