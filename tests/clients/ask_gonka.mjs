// gonka-openai for JavaScript, whose published version signs the raw body: `ask_gonka.mjs MODEL`, with GONKA_… in the environment.
// It finds the hosts and checks their proof, then asks. Prints one JSON object.

import { GonkaOpenAI, resolveAndSelectEndpoint } from "gonka-openai";

const { endpoints, selected } = await resolveAndSelectEndpoint({});
const client = new GonkaOpenAI({ endpoints: [selected], maxRetries: 0 });
const told = { endpoints: endpoints.map((each) => each.address) };
try {
  await client.chat.completions.create({
    model: process.argv[2],
    messages: [{ role: "user", content: "What is a host?" }],
    max_tokens: 24,
  });
} catch (error) {
  told.status = error.status;
  told.message = error.message;
}
console.log(JSON.stringify(told));
