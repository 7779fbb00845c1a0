// The official OpenAI client for JavaScript, asked for vectors: `ask_embeddings.mjs MODEL`. The last line is JSON.
import OpenAI from "openai";

const model = process.argv[2];
const client = new OpenAI({ maxRetries: 0 });
const answer = await client.embeddings.create({ model, input: ["What is an epoch?", "A host proves compute."] });
console.log(JSON.stringify({ vectors: answer.data.map((each) => each.embedding), usage: answer.usage }));
