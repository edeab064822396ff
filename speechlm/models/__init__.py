"""Models: the only places where parts meet. ctc (encoder, head), speech_llm (encoder, bridge, LLM), transducer."""
