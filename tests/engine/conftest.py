"""Tiny random models of many architectures, opened through the engine in fp32 on the CPU, and plain transformers beside
them: what the engine says is compared with what the model itself says, one text at a time.

Weights are drawn wide (0.25), so that a token attended to or left out by mistake shows in every answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tuningfork.engine import device as device_  # noqa: E402
from tuningfork.models.local import LocalModel  # noqa: E402
from tuningfork.task import Message, Prompt  # noqa: E402

CORPUS = [
    "Which team should handle this message? Answer with one of: billing, login problem, other.",
    "I was charged twice for my plan in March, please refund one of the payments.",
    "My password is not accepted and the page says try again later.",
    "Input: Where is your office, and do you ship to Peru? Output: other",
    "how how-to how-to-guide positive negative neutral great terrible",
]
SPECIALS = ["<|pad|>", "<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|mask|>"]
TEMPLATE = (
    "<|begin|>{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
CONTEXT = 256
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = {**SIZES, "num_key_value_heads": 2, "max_position_embeddings": CONTEXT, "initializer_range": 0.25}
T5 = {
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "n_positions": CONTEXT,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 20,
    "decoder_start_token_id": 0,
}
BART = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": CONTEXT,
    "init_std": 0.25,
    "decoder_start_token_id": 2,
}
OPT = {k: v for k, v in GROUPED.items() if k not in ("intermediate_size", "num_key_value_heads", "initializer_range")}
EXPERTS = {"num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "shared_expert_intermediate_size": 16,
}
STATES = {
    "mamba_d_ssm": 32,
    "mamba_n_heads": 4,
    "mamba_d_head": 8,
    "mamba_d_state": 8,
    "mamba_chunk_size": 16,
}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", GROUPED),
    "qwen2": ("Qwen2", GROUPED),
    "qwen3": ("Qwen3", {**GROUPED, "head_dim": 16}),
    "gemma": ("Gemma", {**GROUPED, "head_dim": 8}),
    "gemma2": ("Gemma2", {**GROUPED, "head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8}),
    "mistral": ("Mistral", {**GROUPED, "sliding_window": 8}),
    "granite": ("Granite", {**GROUPED, "logits_scaling": 4.0}),
    "phi": ("Phi", {**GROUPED, "num_key_value_heads": 4}),
    "gpt2": ("GPT2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT, "initializer_range": 0.25}),
    "phi3": ("Phi3", GROUPED),
    "olmo2": ("Olmo2", GROUPED),
    "gpt_neox": ("GPTNeoX", {**SIZES, "max_position_embeddings": CONTEXT, "initializer_range": 0.25}),
    "opt": ("OPT", {**OPT, "ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.25}),
    "bloom": ("Bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.25}),
    "mpt": ("Mpt", {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": CONTEXT, "initializer_range": 0.25}),
    "falcon": ("Falcon", {**OPT, "alibi": True, "new_decoder_architecture": False, "initializer_range": 0.25}),
    "mixtral": ("Mixtral", {**GROUPED, **EXPERTS}),
    "gpt_oss": ("GptOss", {**GROUPED, **EXPERTS, "head_dim": 8, "sliding_window": 8}),
    "gemma3": ("Gemma3", {**GROUPED, "num_hidden_layers": 6, "head_dim": 8, "sliding_window": 8}),
    "llama4": ("Llama4", {**GROUPED, "num_hidden_layers": 4, "num_local_experts": 2, "attention_chunk_size": 8}),
    "mamba": ("Mamba", {"hidden_size": 32, "state_size": 8, "num_hidden_layers": 2, "initializer_range": 0.25}),
    "falcon_mamba": ("FalconMamba", {"hidden_size": 32, "state_size": 8, "num_hidden_layers": 2}),
    "qwen3_next": ("Qwen3Next", {**GROUPED, **EXPERTS, **LINEAR, "num_hidden_layers": 4, "head_dim": 8}),
    "lfm2": ("Lfm2", {**GROUPED, "layer_types": ["conv", "full_attention"], "block_ff_dim": 48}),
    "falcon_h1": ("FalconH1", {**GROUPED, **STATES, "lm_head_multiplier": 0.04, "embedding_multiplier": 5.6}),
    "hyperclovax": ("HyperCLOVAX", {**GROUPED, "logits_scaling": 0.25}),
    "bert": ("Bert", {**SIZES, "max_position_embeddings": CONTEXT, "initializer_range": 0.25}),
    "roberta": ("Roberta", {**SIZES, "max_position_embeddings": 66, "initializer_range": 0.25}),
    "t5": ("T5", T5),
    "mt5": ("MT5", {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    "bart": ("Bart", {**BART, "forced_bos_token_id": 1}),
    "marian": ("Marian", BART),
}
ENCODERS = ("bert", "roberta")
SEQ2SEQ = ("t5", "mt5", "bart", "marian")
SUFFIXES = {
    "gpt2": "LMHeadModel",
    "marian": "MTModel",
    **dict.fromkeys(ENCODERS, "Model"),
    **dict.fromkeys(("t5", "mt5", "bart"), "ForConditionalGeneration"),
}
CPU = device_.Device("cpu", "float32", {})


@pytest.fixture(autouse=True)
def _one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tiny products gain nothing from a second thread, and lose much where another process wants it."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if request.node.get_closest_marker("real") else 1)
    yield
    torch.set_num_threads(before)


def make_tokenizer(chat: bool, encoder: bool = False, template: str = TEMPLATE, single: str = "") -> Any:
    """A byte-level BPE: `chat` brings a template that writes its own special tokens, the plain one adds a start token,
    an encoder's adds one at either end; `single` says it otherwise."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=420, special_tokens=SPECIALS, initial_alphabet=alphabet)
    )
    single = single or ("<|begin|> $A <|end|>" if encoder else "<|begin|> $A")
    made.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single=single, special_tokens=[("<|begin|>", 1), ("<|end|>", 2)]),
        ]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<|begin|>", eos_token="<|end|>", pad_token="<|pad|>", mask_token="<|mask|>"
    )
    if chat:
        tokenizer.chat_template = template
    return tokenizer


WRAPS = {"t5": "$A <|end|>", "mt5": "$A <|end|>", "marian": "$A <|end|>"}
"""What tokenizers of these kinds put round a text, where it is not what others do."""


def make_model(kind: str, folder: Path, chat: bool = True, seed: int = 0, template: str = TEMPLATE) -> Path:
    """A model folder, as `save_pretrained` writes it."""
    name, settings = CONFIGS[kind]
    tokenizer = make_tokenizer(
        chat and kind not in ENCODERS + SEQ2SEQ, kind in ENCODERS + SEQ2SEQ, template, WRAPS.get(kind, "")
    )
    own = f"{name}TextConfig" if kind in ("gemma3", "llama4") else f"{name}Config"
    config = getattr(transformers, own)(
        vocab_size=len(tokenizer), pad_token_id=0, bos_token_id=1, eos_token_id=2, **settings
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = getattr(transformers, name + SUFFIXES.get(kind, "ForCausalLM"))(config)
        for parameter_name, parameter in [*net.named_parameters(), *net.named_buffers()]:
            if parameter_name.endswith("bias") and parameter.is_floating_point():
                torch.nn.init.normal_(parameter, std=0.1)
    net.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def open_folder(folder: Path, device: device_.Device = CPU) -> LocalModel:
    """Opened as `open_model` does, in a dtype of our choice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device_, "choose", lambda *_: device)
        return LocalModel(folder.name, folder, folder)


def chat_text(prompt: Prompt) -> str:
    """TEMPLATE written out by hand."""
    return "<|begin|>" + "".join(f"<|{m.role}|>\n{m.content}<|end|>\n" for m in prompt.messages) + "<|assistant|>\n"


def plain_text(prompt: Prompt) -> str:
    """The transcript that a model without a template reads, without its start token."""
    before = {"system": "\n\n", "user": "\n\nInput: ", "assistant": "\nOutput: "}
    return "".join(before[m.role] + str(m.content) for m in prompt.messages).lstrip("\n") + "\nOutput:"


class Tiny(SimpleNamespace):
    """`model` (ours), `net` and `tokenizer` (plain transformers), `folder`, `chat`."""

    model: LocalModel
    net: Any
    tokenizer: Any
    folder: Path
    chat: bool

    def text(self, prompt: Prompt) -> str:
        return chat_text(prompt) if self.chat else plain_text(prompt)

    def ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=not self.chat)["input_ids"])

    @torch.no_grad()
    def nats(self, prompt: Prompt, choices: Sequence[str], net: Any = None) -> list[float]:
        """Log-probabilities of the choices by plain transformers: whole texts, one at a time."""
        asked = self.ids(self.text(prompt))
        whole = [self.ids(self.text(prompt) + ("" if self.chat else " ") + choice) for choice in choices]
        stand = min(next((i for i, (a, b) in enumerate(zip(asked, w)) if a != b), len(asked)) for w in whole)  # noqa: B905
        tails = [w[stand:] for w in whole]
        begun = [any(o != t and o[: len(t)] == t for o in tails) for t in tails]
        found = []
        for tail, shorter in zip(tails, begun, strict=True):
            tail = [*tail, 2] if shorter else tail
            logits = (net or self.net)(torch.tensor([asked[:stand] + tail])).logits[0].float()
            nats = torch.log_softmax(logits, -1)[range(stand - 1, stand + len(tail) - 1), tail]
            found.append(float(nats.sum()))
        return found


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Tiny]:
    """`tiny("llama", chat=False)`: made and opened once a session. Never tune it away: adapters are put on and off."""
    home = tmp_path_factory.mktemp("tiny")

    @cache
    def make(kind: str, chat: bool = True) -> Tiny:
        folder = make_model(kind, home / f"{kind}-{'chat' if chat else 'plain'}", chat)
        factory = (
            transformers.AutoModel
            if kind in ENCODERS
            else transformers.AutoModelForSeq2SeqLM
            if kind in SEQ2SEQ
            else transformers.AutoModelForCausalLM
        )
        net = factory.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        chat = chat and kind not in SEQ2SEQ
        return Tiny(model=open_folder(folder), net=net, tokenizer=tokenizer, folder=folder, chat=chat)

    return make


def ask(text: str, shots: Sequence[tuple[str, str]] = (), system: str = CORPUS[0]) -> Prompt:
    """A few-shot prompt, as predict renders it."""
    turns = [Message("system", system)] if system else []
    for shown, answer in shots:
        turns += [Message("user", shown), Message("assistant", answer)]
    return Prompt((*turns, Message("user", text)))


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The helpers above."""
    return SimpleNamespace(
        model=make_model,
        tokenizer=make_tokenizer,
        open=open_folder,
        prompt=ask,
        corpus=CORPUS,
        context=CONTEXT,
        sizes=lambda kind: CONFIGS[kind][1],
        cpu=CPU,
    )
