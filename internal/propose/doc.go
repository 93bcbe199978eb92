// Package propose reads the catalogue, the statistics and a sample of the rows of a publication's tables, and proposes a
// configuration for them, each choice with its reason.
//
// It is the only reader of statistics: what a bridge makes follows the configuration alone. It changes nothing on either
// side and knows nothing of ClickHouse but what its types and codecs are good for; whether a proposal holds is for
// `tidemark check` to say.
package propose
