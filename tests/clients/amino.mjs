// Signs in SIGN_MODE_LEGACY_AMINO_JSON with @cosmjs, unmodified, and prints transactions: node amino.mjs CHAIN_ID
// Each line of `cases` is made by one key, and by two of three keys together. tests/conformance/vectors/amino_json.json is its output.
import { createMultisigThresholdPubkey, pubkeyToAddress, Secp256k1Wallet, serializeSignDoc, makeSignDoc } from "@cosmjs/amino";
import { fromHex, toHex } from "@cosmjs/encoding";
import { AminoTypes, createDefaultAminoConverters, makeMultisignedTxBytes, SigningStargateClient } from "@cosmjs/stargate";
import { TxRaw } from "cosmjs-types/cosmos/tx/v1beta1/tx";

const [chainId] = process.argv.slice(2);
const secrets = [1, 2, 3].map((n) => n.toString(16).padStart(64, "0"));
const wallets = await Promise.all(secrets.map((secret) => Secp256k1Wallet.fromKey(fromHex(secret), "gonka")));
const accounts = (await Promise.all(wallets.map((wallet) => wallet.getAccounts()))).map(([account]) => account);
const single = accounts[0].address;
const shared = createMultisigThresholdPubkey(
  accounts.map((account) => ({ type: "tendermint/PubKeySecp256k1", value: Buffer.from(account.pubkey).toString("base64") })),
  2,
  true,
);
const multisig = pubkeyToAddress(shared, "gonka");
const to = accounts[1].address;
const coins = (amount) => [{ denom: "ngonka", amount }];
const fee = { amount: coins("7"), gas: "500000" };
const aminoTypes = new AminoTypes(createDefaultAminoConverters());

const cases = [
  ["from a <wallet> & \"quotes\" é", (from) => [send(from, "5")]],
  ["", (from) => [send(from, "5"), send(from, "6")]],
  ["", (from) => [{ typeUrl: "/cosmos.bank.v1beta1.MsgMultiSend", value: { inputs: [{ address: from, coins: coins("3") }], outputs: [{ address: to, coins: coins("3") }] } }]],
  ["", (from) => [{ typeUrl: "/cosmos.gov.v1beta1.MsgVote", value: { proposalId: 3n, voter: from, option: 1 } }]],
  ["", (from) => [{ typeUrl: "/cosmos.gov.v1beta1.MsgVoteWeighted", value: { proposalId: 3n, voter: from, options: [{ option: 1, weight: "300000000000000000" }, { option: 3, weight: "700000000000000000" }] } }]],
];

function send(from, amount) {
  return { typeUrl: "/cosmos.bank.v1beta1.MsgSend", value: { fromAddress: from, toAddress: to, amount: coins(amount) } };
}

async function ofOne(messages, memo, accountNumber, sequence) {
  const client = await SigningStargateClient.offline(wallets[0], { aminoTypes });
  const signed = await client.sign(single, messages, fee, memo, { accountNumber, sequence, chainId });
  return TxRaw.encode(signed).finish();
}

async function ofTwo(messages, memo, accountNumber, sequence) {
  const signatures = new Map();
  let body;
  for (const i of [0, 2]) {
    const client = await SigningStargateClient.offline(wallets[i], { aminoTypes });
    const signed = await client.sign(accounts[i].address, messages, fee, memo, { accountNumber, sequence, chainId });
    signatures.set(accounts[i].address, signed.signatures[0]);
    body = signed.bodyBytes;
  }
  return makeMultisignedTxBytes(shared, sequence, fee, body, signatures);
}

function signBytes(messages, memo, accountNumber, sequence) {
  const converted = messages.map((message) => aminoTypes.toAmino(message));
  return serializeSignDoc(makeSignDoc(converted, fee, chainId, memo, accountNumber, sequence));
}

const transactions = [];
for (const [number, [from, make]] of [[single, ofOne], [multisig, ofTwo]].entries()) {
  for (const [sequence, [memo, messages]] of cases.entries()) {
    transactions.push({
      address: from,
      account_number: number,
      sequence,
      messages: messages(from).map((message) => message.typeUrl),
      sign_json: new TextDecoder().decode(signBytes(messages(from), memo, number, sequence)),
      tx_raw_hex: toHex(await make(messages(from), memo, number, sequence)),
    });
  }
}
console.log(JSON.stringify({ source: "@cosmjs 0.39.0, SIGN_MODE_LEGACY_AMINO_JSON", chain_id: chainId, private_keys_hex: secrets, single, multisig, threshold: 2, transactions }, null, 1));
