"""The published queries of the existing network are answered, under their names and paths; what is not has a reason in the page."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from pivot.chain.gateway.rest import bindings
from pivot.chain.registry import QUERIES

DOCS = Path(__file__).resolve().parents[2] / "docs"
P = "/productscience/inference/inference"
NETWORK = {
    "Params": f"{P}/params",
    "Inference": f"{P}/inference/{{index}}",
    "InferenceAll": f"{P}/inference",
    "Participant": f"{P}/participant/{{index}}",
    "ParticipantAll": f"{P}/participant",
    "InferenceParticipant": f"{P}/inference_participant/{{address}}",
    "GetRandomExecutor": f"{P}/get_random_executor",
    "EpochGroupData": f"{P}/epoch_group_data/{{epoch_index}}",
    "EpochGroupDataAll": f"{P}/epoch_group_data",
    "CurrentEpochGroupData": f"{P}/current_epoch_group_data",
    "SettleAmount": f"{P}/settle_amount/{{participant}}",
    "SettleAmountAll": f"{P}/settle_amount",
    "EpochGroupValidations": f"{P}/epoch_group_validations/{{participant}}/{{epoch_index}}",
    "EpochGroupValidationsAll": f"{P}/epoch_group_validations",
    "PocBatchesForStage": f"{P}/poc_batches_for_stage/{{block_height}}",
    "GetCurrentEpoch": f"{P}/get_current_epoch",
    "EpochInfo": f"{P}/epoch_info",
    "TokenomicsData": f"{P}/tokenomics_data",
    "GetUnitOfComputePriceProposal": f"{P}/get_unit_of_compute_price_proposal",
    "ModelsAll": f"{P}/models_all",
    "TopMiner": f"{P}/top_miner/{{address}}",
    "TopMinerAll": f"{P}/top_miner",
    "InferenceTimeout": f"{P}/inference_timeout/{{expirationHeight}}/{{inferenceId}}",
    "InferenceTimeoutAll": f"{P}/inference_timeout",
    "InferenceValidationDetails": f"{P}/inference_validation_details/{{epochId}}/{{inferenceId}}",
    "InferenceValidationDetailsAll": f"{P}/inference_validation_details",
    "GetInferenceValidationParameters": f"{P}/get_inference_validation_parameters/{{ids}}/{{requester}}",
    "EpochPerformanceSummary": f"{P}/epoch_performance_summary/{{epoch_index}}/{{participantId}}",
    "EpochPerformanceSummaryAll": f"{P}/epoch_performance_summary",
    "TrainingTask": f"{P}/training_task",
    "TrainingTaskAll": f"{P}/training_task_all",
    "QueuedTrainingTasks": f"{P}/queued_training_tasks",
    "InProgressTrainingTasks": f"{P}/in_progress_training_tasks",
    "TrainingKvRecord": f"{P}/training_kv_record/{{taskId}}/{{key}}",
    "ListTrainingKvRecordKeys": f"{P}/list_training_kv_record_keys/{{taskId}}",
    "TrainingBarrier": f"{P}/training_barrier",
    "TrainingAliveNodes": f"{P}/training_alive_nodes",
    "HardwareNodes": f"{P}/hardware_nodes/{{participant}}",
    "HardwareNodesAll": f"{P}/hardware_nodes_all",
    "GetParticipantCurrentStats": f"{P}/get_participant_current_stats/{{participantId}}",
    "GetAllParticipantCurrentStats": f"{P}/get_all_participant_current_stats",
    "GetParticipantsFullStats": f"{P}/participants_stats",
    "CountParticipants": f"{P}/participants/count",
    "StatsByTimePeriodByDeveloper": f"{P}/developer/{{developer}}/stats_by_time",
    "StatsByDeveloperAndEpochsBackwards": f"{P}/developer/{{developer}}/stats_by_epochs_backwards",
    "InferencesAndTokensStatsByEpochsBackwards": f"{P}/developer/stats_by_epochs_backwards",
    "InferencesAndTokensStatsByTimePeriod": f"{P}/all_stats_by_time",
    "InferencesAndTokensStatsByModels": f"{P}/models_stats_by_time",
    "DebugStatsDeveloperStats": f"{P}/debug/developer/all_stats",
    "GetMinimumValidationAverage": f"{P}/get_minimum_validation_average",
    "PartialUpgrade": f"{P}/partial_upgrade/{{height}}",
    "PartialUpgradeAll": f"{P}/partial_upgrade",
    "CountPoCbatchesAtHeight": f"{P}/count_po_c_batches_at_height/{{blockHeight}}",
    "CountPoCvalidationsAtHeight": f"{P}/count_po_c_validations_at_height/{{blockHeight}}",
    "GetModelPerTokenPrice": f"{P}/model_per_token_price/{{model_id}}",
    "GetAllModelPerTokenPrices": f"{P}/all_model_per_token_prices",
    "GetModelCapacity": f"{P}/model_capacity/{{model_id}}",
    "GetAllModelCapacities": f"{P}/all_model_capacities",
    "GranteesByMessageType": f"{P}/grantees_by_message_type/{{granter_address}}/{{message_type_url}}",
    "BridgeTransaction": "/inference/inference/bridge_transaction/{origin_chain}/{block_number}/{receipt_index}",
    "BridgeTransactions": "/inference/inference/bridge_transactions",
}
"""`inference.inference.Query`, all 61."""
OTHERS = (
    "collateral/params",
    "collateral/collateral/{participant}",
    "collateral/collateral",
    "collateral/unbonding/{participant}",
    "collateral/unbonding",
    "streamvesting/params",
    "streamvesting/vesting_schedule/{participant_address}",
    "streamvesting/total_vesting/{participant_address}",
    "restrictions/params",
    "restrictions/status",
    "restrictions/exemptions",
    "restrictions/exemption_usage",
)
"""Paths of the other modules' queries; those of `bookkeeper`, `genesistransfer` and `bls` are among the missing."""


def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("queries_reference", DOCS / "queries_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answered() -> dict[str, str]:
    """The template of each gRPC path's first route."""
    methods = {method.path: method for method in page().all_methods()}
    return {path: bindings(methods[path])[0].template for path in QUERIES.all()}


def missing() -> set[str]:
    return {name.strip() for names in page().MISSING for name in names.split(",")}


@pytest.mark.parametrize("name", NETWORK)
def test_a_query_of_the_network_has_its_published_name_and_path(name: str) -> None:
    templates = answered()
    path = f"/inference.inference.Query/{name}"
    if name in missing():
        assert path not in templates, "the page says that it is not here"
    else:
        assert templates[path] == NETWORK[name]


def test_the_other_modules_have_their_published_paths() -> None:
    assert {f"/productscience/inference/{path}" for path in OTHERS} <= set(answered().values())
    assert {"inference.bls", "inference.bookkeeper", "inference.genesistransfer"} <= missing()
    assert len(NETWORK) == 61


def test_what_the_page_calls_missing_is_missing() -> None:
    services = {path.strip("/").partition("/")[0] for path in answered()}
    assert not [name for name in missing() for service in services if "." in name and service.startswith(name)]


def test_no_two_queries_have_one_path() -> None:
    templates = [(each.verb, each.template) for method in page().all_methods() for each in bindings(method)]
    assert len(templates) == len(set(templates))


def test_the_page_is_in_step() -> None:
    assert page().PAGE.read_text() == page().reference(), "run: .venv/bin/python docs/queries_reference.py"
