// What a page that follows the chain does, with @cosmjs, unmodified: node events.mjs WS_URL ALICE BOB (a private key in hex, an address).
// Prints a line of JSON.
import { fromHex } from "@cosmjs/encoding";
import { DirectSecp256k1Wallet } from "@cosmjs/proto-signing";
import { GasPrice, SigningStargateClient } from "@cosmjs/stargate";
import { connectComet } from "@cosmjs/tendermint-rpc";

const [url, key, recipient] = process.argv.slice(2);
const comet = await connectComet(url);
const status = await comet.status();

const blocks = [];
const first = new Promise((resolve) => {
  comet.subscribeNewBlock().subscribe({
    next: (event) => blocks.push(event.header.height) === 3 && resolve(),
  });
});
const sent = new Promise((resolve) => {
  comet.subscribeTx().subscribe({ next: (event) => resolve(event) });
});

const wallet = await DirectSecp256k1Wallet.fromKey(fromHex(key), "gonka");
const [{ address }] = await wallet.getAccounts();
const client = await SigningStargateClient.createWithSigner(comet, wallet, { gasPrice: GasPrice.fromString("0ngonka") });
const { code, height } = await client.sendTokens(address, recipient, [{ denom: "ngonka", amount: "7" }], { amount: [], gas: "200000" });
const event = await sent;
await first;
console.log(
  JSON.stringify({
    network: status.nodeInfo.network,
    following: blocks.every((each, place) => place === 0 || each === blocks[place - 1] + 1),
    code,
    sameBlock: event.height === height,
    action: event.result.events.some((each) => each.type === "transfer"),
  }),
);
comet.disconnect();
process.exit(0); // it keeps timers after it has disconnected, whoever the server is
