"""Amazon Bedrock's runtime wire: InvokeModel and Converse, streamed or not, behind OpenAI's shapes."""
