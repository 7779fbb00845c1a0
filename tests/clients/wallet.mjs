// What a wallet does, with @cosmjs, unmodified: node wallet.mjs RPC ALICE BOB HOST (private keys in hex). Each step prints a line of JSON.
import { createMultisigThresholdPubkey, pubkeyToAddress, Secp256k1Wallet } from "@cosmjs/amino";
import { fromHex, toBase64, toUtf8 } from "@cosmjs/encoding";
import { DirectSecp256k1Wallet } from "@cosmjs/proto-signing";
import {
  calculateFee,
  GasPrice,
  makeMultisignedTxBytes,
  QueryClient,
  setupAuthExtension,
  setupAuthzExtension,
  setupBankExtension,
  setupDistributionExtension,
  setupFeegrantExtension,
  setupGovExtension,
  setupMintExtension,
  setupSlashingExtension,
  setupStakingExtension,
  setupTxExtension,
  SigningStargateClient,
} from "@cosmjs/stargate";
import { connectComet } from "@cosmjs/tendermint-rpc";
import { GenericAuthorization } from "cosmjs-types/cosmos/authz/v1beta1/authz";
import { MsgExec, MsgGrant } from "cosmjs-types/cosmos/authz/v1beta1/tx";
import { MsgSend } from "cosmjs-types/cosmos/bank/v1beta1/tx";
import { BasicAllowance } from "cosmjs-types/cosmos/feegrant/v1beta1/feegrant";
import { TextProposal } from "cosmjs-types/cosmos/gov/v1beta1/gov";
import { MsgSubmitProposalResponse } from "cosmjs-types/cosmos/gov/v1/tx";

const [rpc, ...keys] = process.argv.slice(2);
const gasPrice = GasPrice.fromString("0ngonka");
const coins = (amount) => [{ denom: "ngonka", amount: String(amount) }];
const any = (typeUrl, type, value) => ({ typeUrl, value: type.encode(type.fromPartial(value)).finish() });

async function person(key, kind = DirectSecp256k1Wallet) {
  const wallet = await kind.fromKey(fromHex(key), "gonka");
  const [account] = await wallet.getAccounts();
  const client = await SigningStargateClient.connectWithSigner(rpc, wallet, { gasPrice });
  return { ...account, wallet, client };
}

const [alice, bob, host] = await Promise.all(keys.map((key) => person(key)));
const aliceOnLedger = await person(keys[0], Secp256k1Wallet);
const comet = await connectComet(rpc);
const query = QueryClient.withExtensions(
  comet,
  setupAuthExtension,
  setupAuthzExtension,
  setupBankExtension,
  setupDistributionExtension,
  setupFeegrantExtension,
  setupGovExtension,
  setupMintExtension,
  setupSlashingExtension,
  setupStakingExtension,
  setupTxExtension,
);
const newAddress = (seed) => pubkeyToAddress({ type: "tendermint/PubKeySecp256k1", value: toBase64(new Uint8Array(33).fill(seed)) }, "gonka");

const steps = {
  async reads() {
    const unknown = newAddress(2);
    return {
      chainId: await alice.client.getChainId(),
      height: (await alice.client.getHeight()) > 0,
      block: (await alice.client.getBlock(1)).header.height,
      unknownAccount: await alice.client.getAccount(unknown),
      staked: await alice.client.getBalanceStaked(alice.address),
      delegation: await alice.client.getDelegation(alice.address, await operator()),
      balances: (await alice.client.getAllBalances(unknown)).length,
      metadata: (await query.bank.denomMetadata("ngonka")).base,
      supply: (await query.bank.supplyOf("ngonka")).denom,
    };
  },
  async staking() {
    const { validators } = await query.staking.validators("BOND_STATUS_BONDED");
    const { total } = await query.distribution.delegationTotalRewards(alice.address);
    return {
      validators: validators.map(({ tokens, delegatorShares }) => [tokens, delegatorShares]),
      bondDenom: (await query.staking.params()).params.bondDenom,
      bonded: (await query.staking.pool()).pool.bondedTokens,
      delegations: (await query.staking.delegatorDelegations(alice.address)).delegationResponses.length,
      rewards: total.length,
      inflation: (await query.mint.inflation()).toString(),
      annualProvisions: (await query.mint.annualProvisions()).toString(),
      window: String((await query.slashing.params()).params.signedBlocksWindow),
      signing: (await query.slashing.signingInfos()).info.length,
    };
  },
  async send() {
    const to = newAddress(3);
    const sent = await alice.client.sendTokens(alice.address, to, coins(1234), "auto", "from a wallet");
    const found = await alice.client.getTx(sent.transactionHash);
    const events = found.events.map((event) => event.type);
    return { code: sent.code, height: found.height > 0, events, balance: await alice.client.getBalance(to, "ngonka"), hash: found.hash };
  },
  async sendInAmino() {
    const to = newAddress(4);
    const sent = await aliceOnLedger.client.sendTokens(alice.address, to, coins(5), "auto", "from a <ledger>");
    return { code: sent.code, balance: await alice.client.getBalance(to, "ngonka") };
  },
  async multiSend() {
    const [one, two] = [newAddress(5), newAddress(6)];
    const value = {
      inputs: [{ address: alice.address, coins: coins(3) }],
      outputs: [{ address: one, coins: coins(1) }, { address: two, coins: coins(2) }],
    };
    const sent = await alice.client.signAndBroadcast(alice.address, [{ typeUrl: "/cosmos.bank.v1beta1.MsgMultiSend", value }], "auto");
    return { code: sent.code, amounts: [(await alice.client.getBalance(one, "ngonka")).amount, (await alice.client.getBalance(two, "ngonka")).amount] };
  },
  async simulate() {
    const value = MsgSend.fromPartial({ fromAddress: alice.address, toAddress: bob.address, amount: coins(1) });
    const gas = await alice.client.simulate(alice.address, [{ typeUrl: "/cosmos.bank.v1beta1.MsgSend", value }], "");
    const poor = MsgSend.fromPartial({ fromAddress: alice.address, toAddress: bob.address, amount: coins(10 ** 15) });
    const refused = await alice.client.simulate(alice.address, [{ typeUrl: "/cosmos.bank.v1beta1.MsgSend", value: poor }], "").catch(String);
    return { gas, refused };
  },
  async refusal() {
    const sent = await alice.client.sendTokens(alice.address, bob.address, coins(10 ** 15), calculateFee(200_000, gasPrice)).catch(String);
    return { code: sent.code, log: sent.rawLog ?? sent };
  },
  async governance() {
    const value = { messages: [], initialDeposit: coins(50_000_000), proposer: alice.address, metadata: "", title: "A text", summary: "says it", expedited: true };
    const submitted = await alice.client.signAndBroadcast(alice.address, [{ typeUrl: "/cosmos.gov.v1.MsgSubmitProposal", value }], "auto");
    const { proposalId } = MsgSubmitProposalResponse.decode(submitted.msgResponses[0].value);
    const vote = { proposalId, voter: host.address, option: 1, metadata: "" };
    const voted = await host.client.signAndBroadcast(host.address, [{ typeUrl: "/cosmos.gov.v1.MsgVote", value: vote }], "auto");
    const refused = await bob.client.signAndBroadcast(bob.address, [{ typeUrl: "/cosmos.gov.v1.MsgVote", value: { ...vote, voter: bob.address } }], calculateFee(200_000, gasPrice));
    return { submitted: submitted.code, proposalId: String(proposalId), voted: voted.code, notAMember: refused.code };
  },
  async oldGovernance() {
    const content = any("/cosmos.gov.v1beta1.TextProposal", TextProposal, { title: "An old text", description: "says it" });
    const value = { content, initialDeposit: coins(25_000_000), proposer: alice.address };
    const submitted = await alice.client.signAndBroadcast(alice.address, [{ typeUrl: "/cosmos.gov.v1beta1.MsgSubmitProposal", value }], "auto");
    const { proposals } = await query.gov.proposals(2, "", "");
    const { proposalId, content: shown } = proposals.at(-1);
    const onLedger = await person(keys[2], Secp256k1Wallet);
    const vote = { typeUrl: "/cosmos.gov.v1beta1.MsgVote", value: { proposalId, voter: host.address, option: 1 } };
    const voted = await onLedger.client.signAndBroadcast(host.address, [vote], "auto");
    const cast = await query.gov.vote(proposalId, host.address);
    return { submitted: submitted.code, title: TextProposal.decode(shown.value).title, voted: voted.code, weight: cast.vote.options[0].weight, quorum: (await query.gov.params("tallying")).tallyParams.quorum.length > 0 };
  },
  async authz() {
    const authorization = any("/cosmos.authz.v1beta1.GenericAuthorization", GenericAuthorization, { msg: "/cosmos.bank.v1beta1.MsgSend" });
    const expiration = { seconds: BigInt(Math.floor(Date.now() / 1000) + 3600), nanos: 0 };
    const grant = MsgGrant.fromPartial({ granter: alice.address, grantee: bob.address, grant: { authorization, expiration } });
    const granted = await alice.client.signAndBroadcast(alice.address, [{ typeUrl: "/cosmos.authz.v1beta1.MsgGrant", value: grant }], "auto");
    const to = newAddress(7);
    const inner = any("/cosmos.bank.v1beta1.MsgSend", MsgSend, { fromAddress: alice.address, toAddress: to, amount: coins(9) });
    const exec = MsgExec.fromPartial({ grantee: bob.address, msgs: [inner] });
    const done = await bob.client.signAndBroadcast(bob.address, [{ typeUrl: "/cosmos.authz.v1beta1.MsgExec", value: exec }], "auto");
    const { grants } = await query.authz.grants(alice.address, bob.address, "/cosmos.bank.v1beta1.MsgSend");
    const found = await alice.client.searchTx([{ key: "message.sender", value: alice.address }]);
    return { granted: granted.code, done: done.code, grants: grants.length, balance: (await bob.client.getBalance(to, "ngonka")).amount, foundUnderGranter: found.some((tx) => tx.hash === done.transactionHash) };
  },
  async feegrant() {
    const allowance = any("/cosmos.feegrant.v1beta1.BasicAllowance", BasicAllowance, { spendLimit: coins(100) });
    const value = { granter: alice.address, grantee: bob.address, allowance };
    const granted = await alice.client.signAndBroadcast(alice.address, [{ typeUrl: "/cosmos.feegrant.v1beta1.MsgGrantAllowance", value }], "auto");
    const before = BigInt((await bob.client.getBalance(bob.address, "ngonka")).amount);
    const fee = { amount: coins(7), gas: "300000", granter: alice.address };
    const sent = await bob.client.sendTokens(bob.address, newAddress(8), coins(1), fee);
    const after = BigInt((await bob.client.getBalance(bob.address, "ngonka")).amount);
    const left = await query.feegrant.allowance(alice.address, bob.address);
    return { granted: granted.code, sent: sent.code, bobPaid: String(before - after), left: BasicAllowance.decode(left.allowance.allowance.value).spendLimit };
  },
  async search() {
    const to = newAddress(3);
    const found = await alice.client.searchTx([{ key: "transfer.recipient", value: to }]);
    const byHeight = await alice.client.searchTx([{ key: "tx.height", value: found[0].height }]);
    return { recipient: found.length, byHeight: byHeight.some((tx) => tx.hash === found[0].hash), unknown: await alice.client.getTx("00".repeat(32)) };
  },
  async multisig() {
    const members = await Promise.all(keys.slice(0, 3).map((key) => person(key, Secp256k1Wallet)));
    const pubkeys = members.map(({ pubkey }) => ({ type: "tendermint/PubKeySecp256k1", value: toBase64(pubkey) }));
    const shared = createMultisigThresholdPubkey(pubkeys, 2);
    const address = pubkeyToAddress(shared, "gonka");
    await alice.client.sendTokens(alice.address, address, coins(100), "auto");
    const { accountNumber, sequence } = await alice.client.getSequence(address);
    const chainId = await alice.client.getChainId();
    const to = newAddress(9);
    const messages = [{ typeUrl: "/cosmos.bank.v1beta1.MsgSend", value: { fromAddress: address, toAddress: to, amount: coins(60) } }];
    const fee = { amount: coins(0).slice(1), gas: "300000" };
    const signatures = new Map();
    let body;
    for (const member of members.slice(1)) {
      const signed = await member.client.sign(member.address, messages, fee, "", { accountNumber, sequence, chainId });
      signatures.set(member.address, signed.signatures[0]);
      body = signed.bodyBytes;
    }
    const sent = await alice.client.broadcastTx(makeMultisignedTxBytes(shared, sequence, fee, body, signatures));
    return { code: sent.code, log: sent.rawLog, balance: (await alice.client.getBalance(to, "ngonka")).amount };
  },
};

async function operator() {
  const { validators } = await query.staking.validators("BOND_STATUS_BONDED");
  return validators[0].operatorAddress;
}

for (const [name, step] of Object.entries(steps)) {
  const told = await step().catch((error) => ({ error: String(error) }));
  console.log(JSON.stringify({ name, told }));
}
process.exit(0);
