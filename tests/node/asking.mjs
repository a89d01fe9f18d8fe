// Reads questions from standard input, one JSON object a line; prints what was heard, one JSON
// object a line, in whatever order the answers come. What a question is and what an answer looks
// like: tests/support/node_clients.py.
import { createInterface } from 'node:readline';
import { z } from 'zod';

const AT_ONCE = 32;
const PATIENCE_MS = 30_000;

// Standard output is for answers only; SDKs may print to the console.
console.log = console.info = console.warn = console.error;

export const City = z.object({ name: z.string(), inhabitants: z.number().int() });

export const userContentImage = (image) => Buffer.from(image, 'base64');

// Counts what a client sends, and keeps the heads of what it gets.
function recording() {
  const heads = [];
  const recorded = async (input, init) => {
    const head = { status: null, headers: {} };
    heads.push(head);
    const response = await fetch(input, init);
    head.status = response.status;
    head.headers = Object.fromEntries(response.headers);
    return response;
  };
  return { heads, recorded };
}

function told(error) {
  return {
    kind: error?.constructor?.name ?? typeof error,
    status: error?.status ?? error?.statusCode ?? error?.status_code ?? null,
    message: String(error?.message ?? error),
  };
}

async function heard(ask, question) {
  const { heads, recorded } = recording();
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('no end in sight')), PATIENCE_MS);
  });
  const answer = { id: question.id, said: [], error: null, exchanges: heads };
  try {
    const say = async (read) => {
      // The SDK took it for an answer, whatever can be read in it.
      const at = answer.said.push({ unreadable: true }) - 1;
      answer.said[at] = await read();
      return answer.said[at];
    };
    await Promise.race([ask(question, recorded, say), late]);
  } catch (error) {
    answer.error = told(error);
  } finally {
    clearTimeout(timer);
  }
  return answer;
}

// Answers all questions. `clients` has, by name, what asks one: it gets the question, the fetch to
// use, and what to call with a reader of each whole answer; a question with results of tools has two.
export async function answerAll(clients) {
  const waiting = [];
  for await (const line of createInterface({ input: process.stdin })) {
    if (line) waiting.push(JSON.parse(line));
  }
  waiting.reverse();
  const worker = async () => {
    while (waiting.length) {
      const question = waiting.pop();
      const answer = await heard(clients[question.client], question);
      process.stdout.write(`${JSON.stringify(answer)}\n`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  // Connections that are kept alive would keep the process.
  await new Promise((resolve) => process.stdout.write('', resolve));
  process.exit(0);
}
