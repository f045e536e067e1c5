"""Search an index: query, fusion, rerank, abstaining and extract."""
