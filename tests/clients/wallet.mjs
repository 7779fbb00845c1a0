// Sends coins with @cosmjs/stargate, unmodified: node wallet.mjs RPC PRIVATE_KEY_HEX RECIPIENT AMOUNT
import { fromHex } from "@cosmjs/encoding";
import { DirectSecp256k1Wallet } from "@cosmjs/proto-signing";
import { GasPrice, SigningStargateClient } from "@cosmjs/stargate";

const [rpc, key, recipient, amount] = process.argv.slice(2);
const wallet = await DirectSecp256k1Wallet.fromKey(fromHex(key), "gonka");
const [{ address }] = await wallet.getAccounts();
const client = await SigningStargateClient.connectWithSigner(rpc, wallet, { gasPrice: GasPrice.fromString("0ngonka") });
const coins = [{ denom: "ngonka", amount }];
const sent = await client.sendTokens(address, recipient, coins, "auto", "from a wallet");
const found = await client.getTx(sent.transactionHash);
console.log(
  JSON.stringify({
    code: sent.code,
    height: found.height,
    balance: await client.getBalance(recipient, "ngonka"),
    chainId: await client.getChainId(),
  }),
);
client.disconnect();
