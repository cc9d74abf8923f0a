// Package loader turns a model reference into weights: it finds the model's
// folder, reads its configuration, checks and maps its safetensors files, and
// binds their tensors to the fields of Go structs.
//
//	folder, err := loader.Find(ctx, "Qwen/Qwen3-0.6B", loader.Options{})
//	checkpoint, err := folder.Open()
//	defer checkpoint.Close()
//	err = loader.Bind(checkpoint, "", &weights, dims)
//
// Find looks on this machine, and with Options.Download fetches what is missing
// from the Hugging Face Hub. Pull fetches a model or its newest version, and
// Remote and Peek look into one that is not here. Package hub does the transfers.
//
// Files are hostile input: what they state is checked before it is used, and a
// fault is an error of one line that names the file.
package loader
